// Package strictjson decodes JSON (RFC 8259) into Go structs and refuses what
// encoding/json lets pass: unknown keys, keys in another case, duplicate keys,
// null, invalid UTF-8, deep nesting and data after the value. It is used where
// a misspelt key must not be a silent default: configuration files and the
// messages between the kiosk's programs.
//
// It does not check ranges or required keys; that is the Validate method of the
// decoded type. The caller bounds the length of the input.
package strictjson

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxDepth bounds the nesting of objects and arrays.
const MaxDepth = 16

// Unmarshal decodes the one JSON value in data into v, a pointer to a struct.
// On error v must not be used.
func Unmarshal(data []byte, v any) error {
	if !utf8.Valid(data) {
		return errors.New("not valid UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := walk(dec, reflect.TypeOf(v).Elem(), "", 0); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("data after the JSON value")
	}
	if err := json.Unmarshal(data, v); err != nil {
		var te *json.UnmarshalTypeError
		if errors.As(err, &te) && te.Field != "" {
			return fmt.Errorf("key %q: cannot be a JSON %s", te.Field, te.Value)
		}
		return err
	}
	return nil
}

// walk reads one value and compares its keys with the fields of t. t is nil
// where the shape is not known (below a type with its own UnmarshalJSON).
func walk(dec *json.Decoder, t reflect.Type, path string, depth int) error {
	if depth > MaxDepth {
		return fmt.Errorf("key %q: nested deeper than %d", path, MaxDepth)
	}
	tok, err := dec.Token()
	if err != nil {
		return err
	}
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch tok {
	case nil:
		return fmt.Errorf("key %q: null is not allowed", path)
	case json.Delim('{'):
		return walkObject(dec, t, path, depth)
	case json.Delim('['):
		var elem reflect.Type
		if t != nil && (t.Kind() == reflect.Slice || t.Kind() == reflect.Array) {
			elem = t.Elem()
		}
		for i := 0; dec.More(); i++ {
			if err := walk(dec, elem, path+"["+strconv.Itoa(i)+"]", depth+1); err != nil {
				return err
			}
		}
		_, err := dec.Token()
		return err
	}
	// encoding/json does not say under which key a text did not parse.
	if text, ok := tok.(string); ok && t != nil {
		if u, ok := reflect.New(t).Interface().(encoding.TextUnmarshaler); ok {
			if err := u.UnmarshalText([]byte(text)); err != nil {
				return fmt.Errorf("key %q: %w", path, err)
			}
		}
	}
	return nil
}

func walkObject(dec *json.Decoder, t reflect.Type, path string, depth int) error {
	seen := map[string]bool{}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return err
		}
		key, _ := tok.(string) // the decoder has checked that keys are strings
		full := key
		if path != "" {
			full = path + "." + key
		}
		if seen[key] {
			return fmt.Errorf("key %q: given twice", full)
		}
		seen[key] = true
		elem, known := member(t, key)
		if !known {
			return fmt.Errorf("key %q: unknown", full)
		}
		if err := walk(dec, elem, full, depth+1); err != nil {
			return err
		}
	}
	_, err := dec.Token()
	return err
}

// member returns the type of the value under key in t and whether t has it.
func member(t reflect.Type, key string) (reflect.Type, bool) {
	switch {
	case t == nil:
		return nil, true
	case t.Kind() == reflect.Map:
		return t.Elem(), true
	case t.Kind() != reflect.Struct:
		return nil, true // a type error; json.Unmarshal will name it
	}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.IsExported() && name == key && name != "" && name != "-" {
			return f.Type, true
		}
	}
	return nil, false
}
