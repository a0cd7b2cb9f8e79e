"""In a checkout the program lies beside this folder; installing the package writes the path down here."""

#: The checkout the package was built from; None when it was not built from one.
CHECKOUT = None
