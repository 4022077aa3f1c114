// Package listen starts an ext_authz server on grpc-go, the same way for every contender of this module.
package listen

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
)

// Serve answers checks on HOST:PORT or unix:PATH until SIGTERM. What can't start ends the process with code 1.
func Serve(address string, server authv3.AuthorizationServer) {
	network := "tcp"
	if path, unix := strings.CutPrefix(address, "unix:"); unix {
		network, address = "unix", path
	}
	listener, err := net.Listen(network, address)
	Must(err)
	service := grpc.NewServer()
	authv3.RegisterAuthorizationServer(service, server)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-signals
		service.GracefulStop()
	}()
	Must(service.Serve(listener))
}

// Must ends the process when there is an error.
func Must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
