extern "C" __attribute__((visibility("default"))) int myna_abi_version() { return 1; }
