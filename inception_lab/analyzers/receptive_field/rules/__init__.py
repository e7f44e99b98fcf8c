"""How each kind of operation passes the axes of the source on."""
