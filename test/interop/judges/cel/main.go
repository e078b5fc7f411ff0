// Says what cel-go makes of each expression of a JSON array on standard input, without its type check and with it.
package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

type verdict struct {
	Unchecked string `json:"unchecked"`
	Checked   string `json:"checked"`
}

// written gives a value as one line that names its types. Members of a map are sorted.
func written(value ref.Val) string {
	switch v := value.(type) {
	case types.Null:
		return "null"
	case types.Bool:
		return fmt.Sprintf("bool %t", bool(v))
	case types.Int:
		return fmt.Sprintf("int %d", int64(v))
	case types.Uint:
		return fmt.Sprintf("uint %d", uint64(v))
	case types.Double:
		return "double " + strconv.FormatFloat(float64(v), 'g', -1, 64)
	case types.String:
		return "string " + base64.StdEncoding.EncodeToString([]byte(string(v)))
	case types.Bytes:
		return "bytes " + base64.StdEncoding.EncodeToString([]byte(v))
	case types.Timestamp:
		return "timestamp " + v.Time.UTC().Format(time.RFC3339Nano)
	case types.Duration:
		return fmt.Sprintf("duration %d", v.Duration.Nanoseconds())
	}
	if list, is := value.(traits.Lister); is {
		var items []string
		for i := types.Int(0); i < list.Size().(types.Int); i++ {
			items = append(items, written(list.Get(i)))
		}
		return "list [" + strings.Join(items, ", ") + "]"
	}
	if object, is := value.(traits.Mapper); is {
		var members []string
		for it := object.Iterator(); it.HasNext() == types.True; {
			key := it.Next()
			members = append(members, written(key)+": "+written(object.Get(key)))
		}
		sort.Strings(members)
		return "map {" + strings.Join(members, ", ") + "}"
	}
	if kind, is := value.(ref.Type); is {
		return "type " + kind.TypeName()
	}
	return fmt.Sprintf("other %v", value)
}

func run(env *cel.Env, ast *cel.Ast, variables map[string]any) string {
	program, err := env.Program(ast)
	if err != nil {
		return "error"
	}
	value, _, err := program.Eval(variables)
	if err != nil {
		return "error"
	}
	return written(value)
}

func main() {
	var expressions []string
	if err := json.NewDecoder(os.Stdin).Decode(&expressions); err != nil {
		panic(err)
	}
	env, err := cel.NewEnv(
		cel.Variable("d", cel.DoubleType), cel.Variable("i", cel.IntType), cel.Variable("l", cel.ListType(cel.IntType)),
		cel.Variable("m", cel.MapType(cel.StringType, cel.DynType)), cel.Variable("s", cel.StringType),
		cel.Variable("ts", cel.TimestampType), cel.Variable("u", cel.UintType), cel.Variable("x", cel.DynType))
	if err != nil {
		panic(err)
	}
	instant, _ := time.Parse(time.RFC3339Nano, "2024-02-29T23:59:59.123456789Z")
	variables := map[string]any{
		"d": 1.5, "i": int64(5), "l": []int64{1, 2, 3}, "s": "héllo😀", "ts": instant, "u": uint64(5), "x": int64(3),
		"m": map[string]any{"a": int64(1), "n": nil, "l": []any{int64(1), int64(2)}, "s": "x",
			"nested": map[string]any{"k": true}, "in": int64(9), "a-b": int64(10)},
	}
	verdicts := []verdict{}
	for _, expression := range expressions {
		parsed, issues := env.Parse(expression)
		if issues.Err() != nil {
			verdicts = append(verdicts, verdict{"error", "refused"})
			continue
		}
		one := verdict{Unchecked: run(env, parsed, variables), Checked: "refused"}
		if checked, issues := env.Check(parsed); issues.Err() == nil {
			one.Checked = run(env, checked, variables)
		}
		verdicts = append(verdicts, one)
	}
	_ = json.NewEncoder(os.Stdout).Encode(verdicts)
}
