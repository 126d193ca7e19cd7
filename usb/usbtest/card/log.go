package card

import "fmt"

// Describe names a command for a log. What a PIN, a PUK or a key could be in is
// never shown: the data of VERIFY, CHANGE REFERENCE DATA, RESET RETRY COUNTER
// and PUT DATA, whatever the class, and of anything that is no command.
func Describe(raw []byte) string {
	cmd, ok := parse(raw)
	if !ok {
		return fmt.Sprintf("no command, %d bytes", len(raw))
	}
	name := "UNKNOWN"
	if cmd.Instruction == insGetResponse {
		name = "GET RESPONSE"
	} else if ins, known := instructions[cmd.Instruction]; known {
		name = ins.name
	}
	text := fmt.Sprintf("%s %02X%02X%02X%02X", name, cmd.Class, cmd.Instruction, cmd.P1, cmd.P2)
	const most = 32
	switch n := len(cmd.Data); {
	case n == 0:
		return fmt.Sprintf("%s Le %d", text, cmd.Le)
	case secret(cmd.Instruction):
		return fmt.Sprintf("%s Lc %d not shown", text, n)
	case n > most:
		return fmt.Sprintf("%s Lc %d %X…", text, n, cmd.Data[:most])
	default:
		return fmt.Sprintf("%s Lc %d %X", text, n, cmd.Data)
	}
}

func secret(instruction byte) bool {
	switch instruction {
	case insVerify, insChange, insResetRetry, insPutData:
		return true
	}
	return instructions[instruction].run == nil // a command not known may hold anything
}
