// Command argocd runs the parts of Argo CD that a test needs, chosen by its name like Argo CD's own program:
// argocd-application-controller, argocd-repo-server, and argocd-redis, a Redis in memory that Argo CD's own tests use.
//
// parts.sh builds it in a copy of Argo CD's module. Argo CD's own main package also has its web server and its command
// line, and takes twice as long to build.
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/alicebob/miniredis/v2"
	controller "github.com/argoproj/argo-cd/v3/cmd/argocd-application-controller/commands"
	repository "github.com/argoproj/argo-cd/v3/cmd/argocd-repo-server/commands"
)

// redis serves the address of the only argument until the process is ended.
func redis() error {
	server := miniredis.NewMiniRedis()
	if err := server.StartAddr(os.Args[1]); err != nil {
		return err
	}
	ended, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	<-ended.Done()
	server.Close()
	return nil
}

func run() error {
	switch filepath.Base(os.Args[0]) {
	case "argocd-application-controller":
		return controller.NewCommand().Execute()
	case "argocd-repo-server":
		return repository.NewCommand().Execute()
	}
	return redis()
}

func main() {
	log.SetFlags(0)
	if err := run(); err != nil {
		log.Fatal(err)
	}
}
