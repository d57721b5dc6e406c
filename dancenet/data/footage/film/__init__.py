"""What is to be known about a film before its pictures are decoded."""
