"""What `llamachat doctor` finds out. Nothing is written anywhere: kernels that measure are compiled and not kept."""
