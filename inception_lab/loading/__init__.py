"""MODEL as a user names it, turned into a module and its inputs."""
