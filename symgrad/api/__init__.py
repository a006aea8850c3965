"""One module for each public verb but verify."""
