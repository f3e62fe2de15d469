"""The subcommands of `tfew`, a file each; what is heavy is imported when a command runs."""
