"""From MODEL as a user names it to a module and its inputs."""
