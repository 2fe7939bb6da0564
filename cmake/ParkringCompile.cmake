# How every target of this project is compiled.
#
#   parkring_compile(target)            language level, warnings, sanitizers
#   parkring_sanitize(target scope)     the sanitizer flags alone
#   parkring_optimise_little(sources...)  of the calling directory, in release

set(parkring_warnings -Wall -Wextra -Wpedantic -Wshadow)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  if(CMAKE_CXX_COMPILER_VERSION VERSION_LESS 12)
    message(FATAL_ERROR "Parkring needs GCC 12 or newer; this is ${CMAKE_CXX_COMPILER_VERSION}. "
                        "Choose another compiler with -DCMAKE_CXX_COMPILER=g++-12.")
  endif()
  if(CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # GCC 12 sees overlapping copies inside std::string that are not there (GCC bug 105651).
    list(APPEND parkring_warnings -Wno-restrict)
  endif()
  if(PARKRING_SANITIZE)
    # The instrumented code confuses the flow analysis of GCC; the plain presets keep the warning.
    list(APPEND parkring_warnings -Wno-maybe-uninitialized)
  endif()
endif()
if(PARKRING_WERROR)
  list(APPEND parkring_warnings -Werror)
endif()

set(parkring_sanitize_flags "")
if(PARKRING_SANITIZE)
  list(JOIN PARKRING_SANITIZE "," parkring_sanitizers)
  set(parkring_sanitize_flags -fsanitize=${parkring_sanitizers} -fno-omit-frame-pointer)
  if("undefined" IN_LIST PARKRING_SANITIZE)
    list(APPEND parkring_sanitize_flags -fno-sanitize-recover=all)
  endif()
endif()

function(parkring_sanitize target scope)
  # Only for this build: an installed library must not force its sanitizer on its users' flags.
  target_compile_options(${target} ${scope} "$<BUILD_INTERFACE:${parkring_sanitize_flags}>")
  target_link_options(${target} ${scope} "$<BUILD_INTERFACE:${parkring_sanitize_flags}>")
endfunction()

function(parkring_compile target)
  target_compile_features(${target} PRIVATE cxx_std_23)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
  target_compile_options(${target} PRIVATE ${parkring_warnings})
  parkring_sanitize(${target} PRIVATE)
endfunction()

# For what reads a command line by CLI11: it compiles for longer than it ever runs.
function(parkring_optimise_little)
  if(CMAKE_BUILD_TYPE STREQUAL "Release")
    set_source_files_properties(${ARGN} PROPERTIES COMPILE_OPTIONS -O1)
  endif()
endfunction()
