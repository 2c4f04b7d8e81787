package main

import "syscall"

// leash makes the system end a process when this one is killed.
func leash() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} }
