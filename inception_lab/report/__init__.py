"""From numbers to what people read: terminal tables, files, plots, report folders.

Importing the package loads nothing: pandas and matplotlib come with the parts that need them.
"""
