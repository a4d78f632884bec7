// Empty: the library's functions are looked up by name, as NVIDIA's are.
