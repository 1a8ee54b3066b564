"""The policies plugin of skillbench."""
