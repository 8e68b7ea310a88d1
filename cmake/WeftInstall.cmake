# `cmake --install`: headers, library, plugin, CMake package, pkg-config file.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/weft)

install(TARGETS weft protoc-gen-weft EXPORT weft-targets)
foreach(dir ${WEFT_PUBLIC_DIRS})
  install(DIRECTORY ${dir}/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
endforeach()

install(EXPORT weft-targets NAMESPACE weft:: DESTINATION ${package_dir})
configure_package_config_file(cmake/weft-config.cmake.in weft-config.cmake
  INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(weft-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/weft-config.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/weft-config-version.cmake
  cmake/WeftDependencies.cmake cmake/WeftGenerate.cmake DESTINATION ${package_dir})

# From the pkg-config folder back to the prefix.
file(RELATIVE_PATH WEFT_PC_PREFIX /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
string(REGEX REPLACE "/$" "" WEFT_PC_PREFIX ${WEFT_PC_PREFIX})

# What the public headers name is Requires.  The rest, only a program that links
# libweft.a must name too; as flags, because evhtp.pc cannot be used as it is.
set(WEFT_PC_REQUIRES)
foreach(dependency ${WEFT_PUBLIC_DEPENDENCIES})
  string(REGEX REPLACE ".*=" "" module ${dependency})
  list(APPEND WEFT_PC_REQUIRES ${module})
endforeach()
list(JOIN WEFT_PC_REQUIRES ", " WEFT_PC_REQUIRES)
set(WEFT_PC_LIBS)
if(NOT BUILD_SHARED_LIBS)
  foreach(dependency ${WEFT_PRIVATE_DEPENDENCIES})
    string(REGEX REPLACE "=.*" "" name ${dependency})
    list(APPEND WEFT_PC_LIBS ${${name}_LDFLAGS})
  endforeach()
  list(REMOVE_DUPLICATES WEFT_PC_LIBS)
  list(APPEND WEFT_PC_LIBS -pthread)
endif()
list(JOIN WEFT_PC_LIBS " " WEFT_PC_LIBS)
configure_file(cmake/weft.pc.in weft.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/weft.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
