"""The commands of `skillbench`, one file each: `command(parser) -> handler(arguments) -> int`."""
