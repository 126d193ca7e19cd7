// Command hello stands for "any program" in a plain gokrazy image: size and boot time of
// the appliance are given beside it.
package main

import (
	"fmt"
	"os"
	"time"
)

func main() {
	if out, err := os.OpenFile("/dev/console", os.O_WRONLY, 0); err == nil {
		fmt.Fprintln(out, "hello: started")
	}
	time.Sleep(1<<63 - 1)
}
