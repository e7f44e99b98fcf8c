"""What allocators hold on a device, beyond what meta tensors tell."""
