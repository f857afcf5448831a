"""How fast it is: README.md says which command measures what."""
