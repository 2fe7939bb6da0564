// expect: asked for its next value
#include <parkring/parkring.hpp>

parkring::generator<int> numbers() { co_yield 1; }

void use() { numbers(); }
