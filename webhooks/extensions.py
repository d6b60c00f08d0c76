"""What webhooks give the kernel's registries."""
