"""The embedded model of the generated shops: see README.md."""
