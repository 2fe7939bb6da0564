# Other libraries' event loops that Parkring can live with. The library itself uses none of them;
# each has headers, <parkring/guests/NAME.hpp> and <parkring/hosts/NAME.hpp>, and a target that
# brings its own library along:
#
#   parkring::libuv  parkring::glib  parkring::sd_event  parkring::asio
#
# This file serves the build and, installed, `find_package(parkring COMPONENTS libuv ...)`.

# parkring_foreign(name): makes the target parkring::NAME if the library is there.
function(parkring_foreign name)
  if(TARGET parkring::${name})
    return()
  endif()
  if(name STREQUAL "asio")
    find_path(PARKRING_ASIO_INCLUDE boost/asio.hpp)
    if(NOT PARKRING_ASIO_INCLUDE)
      return()
    endif()
    add_library(parkring::asio INTERFACE IMPORTED GLOBAL)
    target_include_directories(parkring::asio INTERFACE "${PARKRING_ASIO_INCLUDE}")
    target_link_libraries(parkring::asio INTERFACE parkring::parkring)
    return()
  endif()
  set(module_of_libuv libuv)
  set(module_of_glib glib-2.0)
  set(module_of_sd_event libsystemd)
  if(NOT module_of_${name})
    return()
  endif()
  find_package(PkgConfig QUIET)
  if(NOT PkgConfig_FOUND)
    return()
  endif()
  pkg_check_modules(PARKRING_${name} QUIET IMPORTED_TARGET GLOBAL ${module_of_${name}})
  if(NOT PARKRING_${name}_FOUND)
    return()
  endif()
  add_library(parkring::${name} INTERFACE IMPORTED GLOBAL)
  target_link_libraries(parkring::${name} INTERFACE parkring::parkring PkgConfig::PARKRING_${name})
endfunction()
