"""A generated encyclopedia of people, towns, lands, books and firms that do not exist."""
