//go:build !linux

package main

import "syscall"

// leash is known to Linux alone: elsewhere a killed benchmark leaves its
// servers behind.
func leash() *syscall.SysProcAttr { return nil }
