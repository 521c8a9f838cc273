"""The variables of the environment that are no option's, each with its meaning."""

PREFIX = "LLAMACHAT_"

VARIABLES = {
    "LLAMACHAT_CACHE": "the folder of compiled kernels, which may be deleted at any time",
    "LLAMACHAT_CONFIG": "the configuration file",
    "LLAMACHAT_DEBUG": "1: as `--debug`",
    "LLAMACHAT_DUMP_ASM": "1: print the assembly of kernels as they are compiled",
    "LLAMACHAT_DATA": "the folder where chats are kept",
    "LLAMACHAT_ISA": "the instruction set",
    "LLAMACHAT_MEMORY": "how much memory a model may take, as in `4G`; by default what is free",
    "LLAMACHAT_MODELS": "the folder where `llamachat pull` keeps models",
    "LLAMACHAT_PROFILE": "as `--profile`",
    "LLAMACHAT_TOOL_CALL": "set by the program for the commands of tools, to find processes that they started",
}


def variable(name: str) -> str:
    """The variable of an option: of `ctx_size` the one that ends with CTX_SIZE."""
    return PREFIX + name.upper()
