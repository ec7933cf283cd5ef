"""The command `pluto`; each command is a module that imports what it needs when it runs."""
