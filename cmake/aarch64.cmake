# Cross-compilation for AArch64 with Debian's g++-12-aarch64-linux-gnu. What was compiled runs under
# qemu-user, which has no io_uring: there the errors of setting up are what can be tested.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++-12)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64-static -L /usr/aarch64-linux-gnu)
