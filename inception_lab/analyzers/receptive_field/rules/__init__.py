"""Rules by which operations pass the axes of the source on."""
