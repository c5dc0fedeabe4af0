"""One module or package per subcommand: parse, call, print."""
