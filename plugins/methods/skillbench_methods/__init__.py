"""The methods plugin of skillbench."""
