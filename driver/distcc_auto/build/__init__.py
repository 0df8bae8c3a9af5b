"""The build command: where its `-j` goes, its environment, its process."""
