"""The embedded model that reads the generated encyclopedia."""
