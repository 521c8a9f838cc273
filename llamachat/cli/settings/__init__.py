"""What options are when the command line does not say: the environment, a profile, the configuration file."""
