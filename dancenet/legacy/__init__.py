"""The 2018 DanceNet: its HDF5 files, their import and their download."""
