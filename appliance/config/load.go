package config

import (
	"fmt"
	"io"
	"os"

	"mohr.internal/appliance/strictjson"
)

// MaxBytes is the largest configuration file that is read.
const MaxBytes = 1 << 20

// LoadKioskd reads and validates kioskd's file.
func LoadKioskd(path string) (*Kioskd, error) { return load[Kioskd](path) }

// LoadSyncd reads and validates syncd's file.
func LoadSyncd(path string) (*Syncd, error) { return load[Syncd](path) }

// LoadTokend reads and validates tokend's file.
func LoadTokend(path string) (*Tokend, error) { return load[Tokend](path) }

// ParseKioskd decodes and validates the bytes of kioskd's file.
func ParseKioskd(data []byte) (*Kioskd, error) { return parse[Kioskd](data) }

// ParseSyncd decodes and validates the bytes of syncd's file.
func ParseSyncd(data []byte) (*Syncd, error) { return parse[Syncd](data) }

// ParseTokend decodes and validates the bytes of tokend's file.
func ParseTokend(data []byte) (*Tokend, error) { return parse[Tokend](data) }

type validator[T any] interface {
	*T
	Validate() error
}

func load[T any, P validator[T]](path string) (P, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	c, err := parse[T, P](data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func parse[T any, P validator[T]](data []byte) (P, error) {
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("config: larger than %d bytes", MaxBytes)
	}
	c := P(new(T))
	if err := strictjson.Unmarshal(data, c); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return c, nil
}
