"""The memory plugin of skillbench."""
