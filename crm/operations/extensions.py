"""What operations give the kernel's registries."""
