// Command argo-diff compares objects with their manifests by Argo CD's own code, gitops-engine.
//
// In: [{"manifest": {…}, "live": {…}}]. Out, for each object, the differences by the way of comparison:
// [{"client": "", "structured": "", "server": ""}]. An object without a difference is Synced. "client" is the
// default of Argo CD, "structured" that with ServerSideApply=true, and "server" that with ServerSideDiff=true, which
// asks the API server of KUBECONFIG for a dry run.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"

	"github.com/argoproj/gitops-engine/pkg/diff"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/kube-openapi/pkg/util/proto"
)

// The field manager of Argo CD: common.ArgoCDSSAManager.
const manager = "argocd-controller"

type question struct {
	Manifest *unstructured.Unstructured `json:"manifest"`
	Live     *unstructured.Unstructured `json:"live"`
}

// statusIgnored does what Argo CD's setting ignoreResourceStatusField does, which is "all" by default.
type statusIgnored struct{}

func (statusIgnored) Normalize(object *unstructured.Unstructured) error {
	unstructured.RemoveNestedField(object.Object, "status")
	return nil
}

// dryRunner applies like kubectl apply --server-side --force-conflicts --dry-run=server.
type dryRunner struct {
	mapper meta.RESTMapper
	client dynamic.Interface
}

func (r dryRunner) Run(ctx context.Context, object *unstructured.Unstructured, manager string) (string, error) {
	kind := object.GroupVersionKind()
	mapping, err := r.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return "", err
	}
	options := metav1.ApplyOptions{FieldManager: manager, Force: true, DryRun: []string{metav1.DryRunAll}}
	applied, err := r.client.Resource(mapping.Resource).Namespace(object.GetNamespace()).Apply(ctx, object.GetName(), object, options)
	if err != nil {
		return "", err
	}
	text, err := applied.MarshalJSON()
	return string(text), err
}

type comparer struct {
	types  *managedfields.GvkParser
	server dryRunner
}

func newComparer(config *rest.Config) (*comparer, error) {
	found, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	document, err := found.OpenAPISchema()
	if err != nil {
		return nil, err
	}
	models, err := proto.NewOpenAPIData(document)
	if err != nil {
		return nil, err
	}
	types, err := managedfields.NewGVKParser(models, false)
	if err != nil {
		return nil, err
	}
	groups, err := restmapper.GetAPIGroupResources(found)
	if err != nil {
		return nil, err
	}
	client, err := dynamic.NewForConfig(config)
	return &comparer{types, dryRunner{restmapper.NewDiscoveryRESTMapper(groups), client}}, err
}

// compare returns the differences by the way of comparison.
func (c *comparer) compare(asked question) (map[string]string, error) {
	ways := map[string][]diff.Option{
		"client":     {},
		"structured": {diff.WithStructuredMergeDiff(true)},
		"server":     {diff.WithServerSideDiff(true), diff.WithServerSideDryRunner(c.server)},
	}
	answer := map[string]string{}
	for way, options := range ways {
		options = append(options, diff.WithNormalizer(statusIgnored{}), diff.WithGVKParser(c.types), diff.WithManager(manager))
		result, err := diff.Diff(asked.Manifest.DeepCopy(), asked.Live.DeepCopy(), options...)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", way, err)
		}
		answer[way] = ""
		if result.Modified {
			answer[way] = fmt.Sprintf("live: %s\nexpected: %s", result.NormalizedLive, result.PredictedLive)
		}
	}
	return answer, nil
}

func run() error {
	var asked []question
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return err
	}
	config.QPS, config.Burst = -1, -1
	compared, err := newComparer(config)
	if err != nil {
		return err
	}
	answers := make([]map[string]string, 0, len(asked))
	for _, one := range asked {
		answer, err := compared.compare(one)
		if err != nil {
			return fmt.Errorf("%s %s: %w", one.Live.GetKind(), one.Live.GetName(), err)
		}
		answers = append(answers, answer)
	}
	return json.NewEncoder(os.Stdout).Encode(answers)
}

func main() {
	log.SetFlags(0)
	if err := run(); err != nil {
		log.Fatal(err)
	}
}
