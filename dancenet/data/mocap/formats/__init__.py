"""The text formats of motion files: bytes in, a record whose every field was checked out."""
