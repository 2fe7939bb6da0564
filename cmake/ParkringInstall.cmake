# What `cmake --install` puts down: headers, libraries, and how CMake and pkg-config find them.
include(CMakePackageConfigHelpers)

install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/parkring" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
        FILES_MATCHING PATTERN "*.hpp")
install(TARGETS ${parkring_libraries} EXPORT parkring-targets
        ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}"
        LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/parkring")
install(EXPORT parkring-targets NAMESPACE parkring:: DESTINATION "${package_dir}")
configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/parkring-config.cmake.in"
                              "${PROJECT_BINARY_DIR}/parkring-config.cmake"
                              INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/parkring-config-version.cmake"
                                 COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/parkring-config.cmake"
              "${PROJECT_BINARY_DIR}/parkring-config-version.cmake"
              "${PROJECT_SOURCE_DIR}/cmake/ParkringForeign.cmake"
        DESTINATION "${package_dir}")

# The folders are written relative to the file itself, so the installed tree can be moved.
cmake_path(SET pc_dir NORMALIZE "/${CMAKE_INSTALL_LIBDIR}/pkgconfig")
cmake_path(RELATIVE_PATH pc_dir BASE_DIRECTORY "/" OUTPUT_VARIABLE pc_dir_relative)
string(REGEX REPLACE "[^/]+" ".." parkring_pc_up "${pc_dir_relative}")
configure_file("${PROJECT_SOURCE_DIR}/cmake/parkring.pc.in" "${PROJECT_BINARY_DIR}/parkring.pc"
               @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/parkring.pc"
        DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
