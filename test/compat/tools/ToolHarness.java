/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs command-line tools one after the other in one virtual machine, because starting one for each costs most of the
 * time. Each line of standard input is a JSON object {class, args, stdin, seconds}; the answer is one line
 * {code, out, err}, with code null for a tool that did not end in time (then the caller has to end this process).
 *
 * A tool's exit is an error thrown through it; what it prints from then on is dropped, as it would be dead. Hooks for
 * the end of the process run after the tool. System.out and System.err are replaced once, before any tool is loaded,
 * because Scala's Console keeps the ones that it finds.
 */
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.apache.kafka.common.utils.Exit;

public class ToolHarness {
	static final class Ended extends Error {
		final int code;

		Ended(int code) {
			super(null, null, false, false);
			this.code = code;
		}
	}

	/** Where a replaced stream goes: to the run of the moment, or nowhere. */
	static final class Sink extends OutputStream {
		private ByteArrayOutputStream to;

		synchronized void aim(ByteArrayOutputStream target) {
			to = target;
		}

		@Override
		public synchronized void write(int b) {
			if (to != null)
				to.write(b);
		}

		@Override
		public synchronized void write(byte[] data, int at, int length) {
			if (to != null)
				to.write(data, at, length);
		}
	}

	static final Sink out = new Sink(), err = new Sink();
	static final List<Runnable> hooks = new ArrayList<>();
	static volatile Integer ended;

	static void end(int code) {
		synchronized (hooks) {
			if (ended == null) {
				ended = code;
				if (hooks.isEmpty()) {
					System.out.flush();
					System.err.flush();
					out.aim(null);
					err.aim(null);
				}
			}
		}
		throw new Ended(code);
	}

	/** Hooks that a tool gave to the virtual machine itself; there is no other way to them, hence --add-opens. */
	@SuppressWarnings("unchecked")
	static List<Runnable> hooksOfRuntime() throws ReflectiveOperationException {
		var field = Class.forName("java.lang.ApplicationShutdownHooks").getDeclaredField("hooks");
		field.setAccessible(true);
		var threads = new ArrayList<Runnable>(((java.util.Map<Thread, Thread>) field.get(null)).keySet());
		threads.forEach(t -> Runtime.getRuntime().removeShutdownHook((Thread) t));
		return threads;
	}

	static void tool(JsonNode job) {
		int code = 0;
		try {
			List<String> args = new ArrayList<>();
			job.get("args").forEach(a -> args.add(a.asText()));
			Class.forName(job.get("class").asText()).getMethod("main", String[].class)
				.invoke(null, (Object) args.toArray(new String[0]));
		} catch (InvocationTargetException e) {
			if (!(e.getCause() instanceof Ended)) {
				System.err.print("Exception in thread \"main\" ");
				e.getCause().printStackTrace();
				code = 1;
			}
		} catch (ReflectiveOperationException e) {
			e.printStackTrace();
			code = 1;
		}
		List<Runnable> last;
		synchronized (hooks) {
			if (ended == null)
				ended = code;
			last = new ArrayList<>(hooks);
		}
		try {
			last.addAll(hooksOfRuntime());
		} catch (ReflectiveOperationException e) {
			e.printStackTrace();
		}
		for (Runnable hook : last) {
			try {
				hook.run();
			} catch (Ended e) {
				break;
			}
		}
	}

	static ObjectNode run(ObjectMapper json, JsonNode job) throws InterruptedException {
		var outBytes = new ByteArrayOutputStream();
		var errBytes = new ByteArrayOutputStream();
		byte[] input = job.get("stdin").asText().getBytes(StandardCharsets.UTF_8);
		System.setIn(new ByteArrayInputStream(input));
		hooks.clear();
		ended = null;
		out.aim(outBytes);
		err.aim(errBytes);
		Thread thread = new Thread(() -> tool(job), "main");
		thread.setDaemon(true);
		thread.start();
		thread.join(job.get("seconds").asLong() * 1000);
		boolean late = thread.isAlive();
		System.out.flush();
		System.err.flush();
		out.aim(null);
		err.aim(null);
		ObjectNode answer = json.createObjectNode();
		if (late)
			answer.putNull("code");
		else
			answer.put("code", ended);
		synchronized (out) {
			answer.put("out", outBytes.toString(StandardCharsets.UTF_8));
		}
		synchronized (err) {
			answer.put("err", errBytes.toString(StandardCharsets.UTF_8));
		}
		return answer;
	}

	public static void main(String[] args) throws Exception {
		PrintStream answers = new PrintStream(System.out, true, StandardCharsets.UTF_8);
		BufferedReader jobs = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
		System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
		System.setErr(new PrintStream(err, true, StandardCharsets.UTF_8));
		Exit.setExitProcedure((code, message) -> end(code));
		Exit.setHaltProcedure((code, message) -> end(code));
		Exit.setShutdownHookAdder((name, hook) -> hooks.add(hook));
		ObjectMapper json = new ObjectMapper();
		for (String line = jobs.readLine(); line != null; line = jobs.readLine())
			answers.println(json.writeValueAsString(run(json, json.readTree(line))));
		Runtime.getRuntime().halt(0);
	}
}
