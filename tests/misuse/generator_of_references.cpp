// expect: yield pointers instead of references
#include <parkring/parkring.hpp>

parkring::generator<int&> numbers(int& n) { co_yield n; }
