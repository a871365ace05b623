// Command health says how GitOps tools read objects: Flux by kstatus, Argo CD by a script of Lua.
//
// In: {"script": "…", "objects": […]}. Out, for each object: {"flux": "Current", "argo": "Healthy"}.
package main

import (
	"encoding/json"
	"log"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type question struct {
	Script  string                      `json:"script"`
	Objects []unstructured.Unstructured `json:"objects"`
}

type answer struct {
	Flux status.Status `json:"flux"`
	Argo string        `json:"argo"`
}

func main() {
	log.SetFlags(0)
	var asked question
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		log.Fatal(err)
	}
	answers := make([]answer, 0, len(asked.Objects))
	for _, object := range asked.Objects {
		said, err := health(asked.Script, object)
		if err != nil {
			log.Fatalf("%s %s: %v", object.GetKind(), object.GetName(), err)
		}
		answers = append(answers, said)
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		log.Fatal(err)
	}
}

func health(script string, object unstructured.Unstructured) (answer, error) {
	flux, err := status.Compute(&object)
	if err != nil {
		return answer{}, err
	}
	argo, err := run(script, object.Object)
	return answer{flux.Status, argo}, err
}

// run gives a script the libraries that Argo CD gives it, which are few: util/lua/lua.go there.
func run(script string, object map[string]any) (string, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{
		lua.BaseLibName: lua.OpenBase,
		lua.TabLibName:  lua.OpenTable,
	} {
		state.Push(state.NewFunction(open))
		state.Push(lua.LString(name))
		state.Call(1, 0)
	}
	state.SetGlobal("obj", value(state, object))
	if err := state.DoString(script); err != nil {
		return "", err
	}
	return lua.LVAsString(state.GetField(state.Get(-1), "status")), nil
}

// value is what JSON says, as Lua's.
func value(state *lua.LState, from any) lua.LValue {
	switch from := from.(type) {
	case bool:
		return lua.LBool(from)
	case int64:
		return lua.LNumber(from)
	case float64:
		return lua.LNumber(from)
	case string:
		return lua.LString(from)
	case []any:
		table := state.NewTable()
		for _, item := range from {
			table.Append(value(state, item))
		}
		return table
	case map[string]any:
		table := state.NewTable()
		for key, item := range from {
			table.RawSetString(key, value(state, item))
		}
		return table
	}
	return lua.LNil
}
