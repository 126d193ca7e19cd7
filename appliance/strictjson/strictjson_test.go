package strictjson

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

type inner struct {
	N int `json:"n"`
}

type outer struct {
	A    string            `json:"a"`
	In   inner             `json:"in"`
	P    *inner            `json:"p,omitempty"`
	List []inner           `json:"list"`
	M    map[string]string `json:"m"`
	Raw  json.RawMessage   `json:"raw"`
	Hide string            `json:"-"`
	No   string
}

func TestUnmarshal(t *testing.T) {
	for _, tt := range []struct{ in, errPart string }{
		{`{}`, ""},
		{` {"a":"x","in":{"n":1},"p":{"n":2},"list":[{"n":3},{}],"m":{"any":"thing"}} `, ""},
		{`{"b":1}`, `key "b": unknown`},
		{`{"A":"x"}`, `key "A": unknown`},
		{`{"No":"x"}`, `key "No": unknown`},
		{`{"-":"x"}`, `key "-": unknown`},
		{`{"Hide":"x"}`, `key "Hide": unknown`},
		{`{"a":"x","a":"x"}`, `key "a": given twice`},
		{`{"a":"x","\u0061":"x"}`, `key "a": given twice`},
		{`{"in":{"n":1,"n":1}}`, `key "in.n": given twice`},
		{`{"p":{"x":1}}`, `key "p.x": unknown`},
		{`{"list":[{},{"x":1}]}`, `key "list[1].x": unknown`},
		{`{"m":{"k":"1","k":"2"}}`, `key "m.k": given twice`},
		{`{"m":{"k":1}}`, `key "m`},
		{`{"a":null}`, `key "a": null`},
		{`{"p":null}`, `key "p": null`},
		{`{"a":1}`, `key "a": cannot be a JSON number`},
		{`{"in":{"n":"1"}}`, `key "in.n": cannot be a JSON string`},
		{`{"in":{"n":1.5}}`, `key "in.n"`},
		{`{"in":[]}`, `key "in"`},
		{`{"a":{"b":1}}`, `key "a"`},
		{`{} {}`, "data after"},
		{`{}x`, "data after"},
		{``, "unexpected EOF"},
		{`{"a":`, "unexpected EOF"},
		{`{"a" 1}`, "invalid character"},
		{`{"a":"` + "\xff" + `"}`, "UTF-8"},
		{`{"raw":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, "nested deeper"},
	} {
		var v outer
		err := Unmarshal([]byte(tt.in), &v)
		if tt.errPart == "" && err != nil || tt.errPart != "" && (err == nil || !strings.Contains(err.Error(), tt.errPart)) {
			t.Errorf("%.60s: error %v, want %q", tt.in, err, tt.errPart)
		}
	}
}

// What is accepted survives a round trip: nothing was dropped on the way in.
func FuzzUnmarshal(f *testing.F) {
	f.Add([]byte(`{"a":"x","in":{"n":1},"p":{"n":2},"list":[{"n":3},{}],"m":{"any":"thing"}}`))
	f.Add([]byte(`{"a":"x","a":"y"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var v, w struct {
			A  string           `json:"a"`
			In inner            `json:"in"`
			P  *inner           `json:"p"`
			L  []inner          `json:"l"`
			M  map[string]inner `json:"m"`
		}
		if Unmarshal(b, &v) != nil {
			return
		}
		again, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(again, &w); err != nil || !reflect.DeepEqual(v, w) {
			t.Fatalf("%s -> %s: %v", b, again, err)
		}
	})
}
